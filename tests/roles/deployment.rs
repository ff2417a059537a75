//! Reads the templates of `infra` as deployed under the name `pullyard`, with ARNs and the policies of each role.
//!
//! A policy that refers to an unknown resource fails with its name.

use super::policy::Policy;
use super::template::{References, parse};
use crate::prelude::*;

pub(super) const DEPLOYMENT: &str = "pullyard";
const REGION_AND_ACCOUNT: &str = "us-east-1:000000000000";

pub(super) const KMS_KEY_ARN: &str = "arn:aws:kms:us-east-1:000000000000:key/01234567-89ab-cdef-0123-456789abcdef";

pub(super) fn arn(service: &str, resource: &str) -> String {
    format!("arn:aws:{service}:{REGION_AND_ACCOUNT}:{resource}")
}

/// All roles of all stacks by logical name, each with its policies merged.
pub(super) struct Deployment {
    pub(super) roles: BTreeMap<String, Policy>,
    pub(super) roles_with_managed_policies: Vec<String>,
    pub(super) task_roles: Vec<String>,
    pub(super) functions: BTreeMap<String, String>,
}

impl Deployment {
    pub(super) fn read() -> Self {
        Self::read_with_parameters(BTreeMap::new())
    }

    pub(super) fn read_with_kms_key() -> Self {
        Self::read_with_parameters(BTreeMap::from([("KmsKeyArn".to_owned(), KMS_KEY_ARN.to_owned())]))
    }

    fn read_with_parameters(parameters: BTreeMap<String, String>) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra/template.yaml");
        let (roles, managed, task_roles, functions) = Default::default();
        let mut all = Self { roles, roles_with_managed_policies: managed, task_roles, functions };
        all.read_stack(&root, parameters);
        all
    }

    pub(super) fn role(&self, function: &str) -> &Policy {
        let role = self.functions.get(function).unwrap_or_else(|| panic!("{function} has no role"));
        self.roles.get(role).unwrap_or_else(|| panic!("there is no role {role}"))
    }

    fn read_stack(&mut self, file: &PathBuf, parameters: BTreeMap<String, String>) -> BTreeMap<String, String> {
        let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let template = parse(&text);
        let mut known = References::default();
        let own = [
            ("StackName", DEPLOYMENT),
            ("Partition", "aws"),
            ("URLSuffix", "amazonaws.com"),
            ("Region", "us-east-1"),
            ("AccountId", "000000000000"),
        ];
        known.0.extend(own.map(|(name, value)| (format!("AWS::{name}"), value.to_owned())));
        for (name, about) in fields(&template["Parameters"]) {
            let default = &about["Default"];
            let default = default
                .as_str()
                .map(str::to_owned)
                .or_else(|| Some(default.to_string()).filter(|_| !default.is_null()));
            if let Some(value) = parameters.get(name).cloned().or(default) {
                known.0.insert(name.clone(), value);
            }
        }
        let resources = fields(&template["Resources"]);
        for (name, resource) in resources.clone() {
            for (attribute, value) in resource_values(name, resource, &known) {
                let path = if attribute.is_empty() { name.clone() } else { format!("{name}.{attribute}") };
                known.0.insert(path, value);
            }
        }
        self.read_nested_stacks(file, resources.clone(), &mut known);
        for (name, resource) in resources {
            self.read_resource(name, resource, &known);
        }
        let outputs = fields(&template["Outputs"]);
        outputs.filter_map(|(name, output)| Some((name.clone(), resolve_text(&known, &output["Value"])?))).collect()
    }

    fn read_nested_stacks<'a>(
        &mut self,
        file: &Path,
        resources: impl Iterator<Item = (&'a String, &'a Value)>,
        known: &mut References,
    ) {
        let location = |resource: &Value| {
            let properties = &resource["Properties"];
            ["Location", "TemplateURL"].iter().find_map(|field| properties[*field].as_str()).map(str::to_owned)
        };
        let mut waiting: Vec<_> = resources.filter_map(|(name, it)| Some((name, it, location(it)?))).collect();
        while !waiting.is_empty() {
            let names: Vec<String> = waiting.iter().map(|(name, ..)| format!("\"{name}\",")).collect();
            let free = waiting.iter().position(|(_, resource, _)| {
                let parameters = resource["Properties"]["Parameters"].to_string();
                !names.iter().any(|name| parameters.contains(&format!("[{name}")))
            });
            let (name, resource, location) = waiting.remove(free.expect("nested stacks form a cycle"));
            let parameters = fields(&resource["Properties"]["Parameters"]);
            let parameters =
                parameters.filter_map(|(name, value)| Some((name.clone(), resolve_text(known, value)?))).collect();
            let outputs = self.read_stack(&file.with_file_name(location), parameters);
            known.0.extend(outputs.into_iter().map(|(output, value)| (format!("{name}.Outputs.{output}"), value)));
        }
    }

    fn read_resource(&mut self, name: &str, resource: &Value, known: &References) {
        let properties = &resource["Properties"];
        match resource["Type"].as_str().unwrap_or_default() {
            "AWS::IAM::Role" => {
                if !properties["ManagedPolicyArns"].is_null() {
                    self.roles_with_managed_policies.push(name.to_owned());
                }
                let mut all = Policy::default();
                let has_key = known.0.get("KmsKeyArn").is_some_and(|key| !key.is_empty());
                for policy in properties["Policies"].as_array().into_iter().flatten() {
                    let document = known.resolve(&resolve_key_choice(name, &policy["PolicyDocument"], has_key));
                    let read = document.and_then(|document| Policy::read(&document));
                    all.statements.extend(read.unwrap_or_else(|fault| panic!("{name}: {fault}")).statements);
                }
                assert!(self.roles.insert(name.to_owned(), all).is_none(), "{name} is defined twice");
            }
            "AWS::Serverless::Function" => {
                let (handler, role) = (properties["Handler"].as_str(), properties["Role"]["Fn::GetAtt"][0].as_str());
                let (handler, role) = handler.zip(role).unwrap_or_else(|| panic!("{name} has no handler or role"));
                assert!(properties["Policies"].is_null(), "{name} has policies outside its role");
                self.functions.insert(handler.to_owned(), role.to_owned());
            }
            "AWS::ECS::TaskDefinition" if !properties["TaskRoleArn"].is_null() => self.task_roles.push(name.to_owned()),
            "AWS::IAM::Policy" | "AWS::IAM::ManagedPolicy" | "AWS::IAM::RolePolicy" | "AWS::IAM::User" => {
                panic!("{name}: a policy outside a role is not supported")
            }
            _ => {}
        }
    }
}

fn resolve_key_choice(role: &str, document: &Value, has_key: bool) -> Value {
    let mut document = document.clone();
    if let Some(statements) = document["Statement"].as_array_mut() {
        let decided = std::mem::take(statements).into_iter().filter_map(|statement| {
            if statement["Fn::If"].is_null() {
                return Some(statement);
            }
            let choice = &statement["Fn::If"];
            let uses = |action: &Value| action.as_str().is_some_and(|action| action.starts_with("kms:"));
            let of_key = choice[0] == "OwnKey"
                && choice[1]["Action"].as_array().is_some_and(|all| all.iter().all(uses))
                && choice[2]["Ref"] == "AWS::NoValue";
            assert!(of_key, "{role}: {choice} is not supported");
            has_key.then(|| choice[1].clone())
        });
        *statements = decided.collect();
    }
    document
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> + Clone {
    value.as_object().into_iter().flatten()
}

fn resolve_text(known: &References, value: &Value) -> Option<String> {
    match known.resolve(value).ok()? {
        Value::String(word) => Some(word),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
        other => Some(other.to_string()),
    }
}

fn resource_values(name: &str, resource: &Value, known: &References) -> Vec<(&'static str, String)> {
    let named = |field: &str| {
        resolve_text(known, &resource["Properties"][field]).unwrap_or_else(|| format!("{DEPLOYMENT}-{name}"))
    };
    match resource["Type"].as_str().unwrap_or_default() {
        "AWS::DynamoDB::Table" => {
            let table = named("TableName");
            vec![("Arn", arn("dynamodb", &format!("table/{table}"))), ("", table)]
        }
        "AWS::SQS::Queue" => {
            let queue = named("QueueName");
            let url = format!("https://sqs.us-east-1.amazonaws.com/000000000000/{queue}");
            vec![("Arn", arn("sqs", &queue)), ("", url), ("QueueName", queue)]
        }
        "AWS::SecretsManager::Secret" => {
            vec![("", arn("secretsmanager", &format!("secret:{}-AbCdEf", named("Name"))))]
        }
        "AWS::ECS::Cluster" => {
            let cluster = named("ClusterName");
            vec![("Arn", arn("ecs", &format!("cluster/{cluster}"))), ("", cluster)]
        }
        "AWS::ECS::TaskDefinition" => vec![("", arn("ecs", &format!("task-definition/{}:1", named("Family"))))],
        "AWS::ECR::Repository" => vec![("Arn", arn("ecr", &format!("repository/{}", named("RepositoryName"))))],
        "AWS::Logs::LogGroup" => {
            let group = named("LogGroupName");
            vec![("Arn", arn("logs", &format!("log-group:{group}:*"))), ("", group)]
        }
        "AWS::S3::Bucket" => {
            let bucket = format!("{DEPLOYMENT}-{}", name.to_lowercase());
            vec![("Arn", format!("arn:aws:s3:::{bucket}")), ("", bucket)]
        }
        "AWS::IAM::Role" => vec![("Arn", format!("arn:aws:iam::000000000000:role/{DEPLOYMENT}-{name}"))],
        "AWS::Serverless::Function" | "AWS::Lambda::Function" => {
            let function = named("FunctionName");
            vec![("Arn", arn("lambda", &format!("function:{function}"))), ("", function)]
        }
        _ => Vec::new(),
    }
}
